"""The nets that grade pictures: network, losses, settings and stage of each in one file."""
