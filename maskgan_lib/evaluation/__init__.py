"""Evaluation: what is measured on masks and pictures, and the nets and protocols that grade."""
