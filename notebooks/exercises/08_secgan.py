"""Hints for the exercises of chapter 08, and hidden tests."""

import torch

HINTS = {
    "8.1": [
        "What number says that an attribute is to be given, taken away, or"
        " left alone? Section 8.3 has the formula.",
        "Subtract one by one: target minus source, for each pair that"
        " zip(source, target) gives.",
    ],
    "8.2": [
        "Which of the two masks is the target here, and what is left of its"
        " probabilities once it is hardened?",
        "made.argmax(axis=0) is the class of every pixel. Now you need, at"
        " every pixel, the probability of that class in parsed.",
        "np.take_along_axis(parsed, made.argmax(axis=0)[None], axis=0)"
        " picks them; then minus the mean of np.log.",
    ],
    "8.3": [
        "A network's own errors are in both of its answers. Which pixels"
        " therefore tell you what the wish has changed?",
        "A pixel moves where before and after differ, unless its label in"
        " mask is one of kept: np.isin tells.",
        "np.where((before != after) & ~np.isin(mask, kept), after, mask)"
        " changes nothing in place.",
    ],
    "8.4": [
        "Write down the label that the made face should have for each of"
        " the three wishes, for a face that has the attribute and for one"
        " that has not.",
        "Binary cross-entropy wants targets of 0 or 1. Which target does"
        " the colleague's loss give to a wish of -1?",
        "From y_diff = y_trg - y_src follows that the target is source +"
        " wish. The rest of the function may stay.",
    ],
    "8.5": [
        "What does q have to be if nothing is asked for, and what is the"
        " result then, whatever the backbone says?",
        "Split the backbone's output: made[:, :12].softmax(dim=1), and"
        " made[:, 12:].sigmoid() for the gate. The largest |y| is taken over"
        " the attributes of each face, not over the batch.",
        "wish.abs().amax(dim=1) has shape [B]: give it three more axes,"
        " multiply it with the gate, and mix as the equation says.",
    ],
}


def _branch_and_inputs(gated_branch, wishes):
    torch.manual_seed(0)
    branch = gated_branch(3, 4)
    masks = (2 * torch.randn(len(wishes), 12, 16, 24)).softmax(dim=1)
    return branch, masks, torch.tensor(wishes)


def test_8_5_probabilities(gated_branch):
    """every pixel has to get probabilities, at any height and width"""
    asked = [[1.0, 0.0, -1.0], [0.0, 0.5, 0.0]]
    branch, masks, wishes = _branch_and_inputs(gated_branch, asked)
    made = branch(masks, wishes)
    assert made.shape == masks.shape, f"the shape is {list(made.shape)}"
    sums = made.sum(dim=1)
    assert made.min() >= 0 and torch.allclose(sums, torch.ones_like(sums))


def test_8_5_nothing(gated_branch):
    """a mask of which nothing is asked has to come back, in any company"""
    asked = [[0.0, 0.0, 0.0], [1.0, 0.0, -1.0]]
    branch, masks, wishes = _branch_and_inputs(gated_branch, asked)
    made = branch(masks, wishes)
    assert torch.equal(made[0], masks[0])
    other = (made[1] - masks[1]).abs().max()
    assert other > 1e-3, "the other mask came back, too"


def test_8_5_signs(gated_branch):
    """the gate has to open alike for -1 and 1, and half as far for 0.5"""
    asked = [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -0.5, 0.25]]
    branch, masks, wishes = _branch_and_inputs(gated_branch, asked)
    made = branch(masks, wishes)
    for k, opened in enumerate((1.0, 1.0, 0.5)):
        planes = branch.backbone(masks[k : k + 1], wishes[k : k + 1])[0]
        q = opened / (1 + torch.exp(-planes[12]))
        new = torch.exp(planes[:12]) / torch.exp(planes[:12]).sum(dim=0)
        expected = masks[k] + q * (new - masks[k])
        assert torch.allclose(made[k], expected, atol=1e-4), f"{asked[k]}"


def test_8_5_gradient(gated_branch):
    """a loss on the result has to reach every weight of the backbone"""
    asked = [[1.0, 0.0, -1.0]]
    branch, masks, wishes = _branch_and_inputs(gated_branch, asked)
    (branch(masks, wishes)[:, :6] ** 2).sum().backward()
    weights = branch.backbone.named_parameters()
    still = [name for name, p in weights if p.grad is None]
    assert not still, f"no gradient in {', '.join(still)}"
    last = branch.backbone.up[-1].weight.grad
    assert last.flatten(1).any(dim=1).all(), (
        "a plane of the last layer is idle"
    )
