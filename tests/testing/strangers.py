"""Stand-ins for losses of public repositories: their signatures and habits, with formulas of our own."""

# ruff: noqa: N802, N803  # as they are written there

import torch
import torch.nn.functional as F
from torch import nn


class LDAMLoss(nn.Module):
    def __init__(self, cls_num_list, max_m=0.5, weight=None, s=30):
        super().__init__()
        m = torch.tensor(cls_num_list, dtype=torch.float32) ** -0.25
        self.m_list = m * (max_m / m.max())
        self.s = s
        self.weight = weight

    def forward(self, x, target):
        index = F.one_hot(target, x.shape[1]).to(x.dtype)
        return F.cross_entropy(self.s * (x - index * self.m_list.to(x)), target, weight=self.weight)


class VSLoss(nn.Module):
    def __init__(self, cls_num_list, gamma=0.3, tau=1.0, weight=None):
        super().__init__()
        p = torch.tensor([n / sum(cls_num_list) for n in cls_num_list])
        self.iota = tau * p.log()
        self.delta = (p / p.max()) ** gamma

    def forward(self, x, target):
        return F.cross_entropy(x / self.delta.to(x) + self.iota.to(x), target)


class LogitAdjust(nn.Module):
    def __init__(self, num_class_list, tau=1, weight=None):
        super().__init__()
        n = torch.tensor(num_class_list, dtype=torch.float32)
        self.m_list = (tau * (n / n.sum()).log()).view(1, -1)

    def forward(self, x, target):
        return F.cross_entropy(x + self.m_list.to(x), target)


class BalancedSoftmax(nn.Module):
    def __init__(self, freq_path):
        super().__init__()
        import json

        with open(freq_path) as fd:
            freq = json.load(fd)
        self.sample_per_class = torch.tensor(freq, dtype=torch.float32)

    def forward(self, input, label, reduction="mean"):
        return balanced_softmax_loss(label, input, self.sample_per_class, reduction)


def balanced_softmax_loss(labels, logits, sample_per_class, reduction):
    spc = torch.as_tensor(sample_per_class).type_as(logits).unsqueeze(0).expand(logits.shape[0], -1)
    return F.cross_entropy(logits + spc.log(), labels, reduction=reduction)


def CB_loss(labels, logits, samples_per_cls, no_of_classes, loss_type="softmax", beta=0.9999, gamma=2.0):
    import numpy as np

    effective_num = 1.0 - np.power(beta, samples_per_cls)
    weights = (1.0 - beta) / np.array(effective_num)
    weights = weights / np.sum(weights) * no_of_classes
    onehot = F.one_hot(labels, no_of_classes).float()
    w = (torch.tensor(weights).float().unsqueeze(0) * onehot).sum(1, keepdim=True)
    return F.binary_cross_entropy_with_logits(logits.float(), onehot, weight=w.expand_as(onehot))


class FocalAlpha(nn.Module):
    def __init__(self, gamma=2.0, alpha=None, reduction="mean"):
        super().__init__()
        self.gamma = gamma
        self.reduction = reduction
        self.alpha = None if alpha is None else torch.tensor(alpha)

    def forward(self, inputs, targets):
        ce = F.cross_entropy(
            inputs, targets, reduction="none", weight=None if self.alpha is None else self.alpha.to(inputs)
        )
        v = (1 - (-ce).exp()) ** self.gamma * ce
        return v.mean() if self.reduction == "mean" else v


class AsymmetricLoss(nn.Module):
    def __init__(self, gamma_neg=4, gamma_pos=1, clip=0.05, eps=1e-8):
        super().__init__()
        self.gn, self.gp, self.clip, self.eps = gamma_neg, gamma_pos, clip, eps

    def forward(self, x, y):
        p = torch.sigmoid(x)
        n = (1 - p + self.clip).clamp(max=1)
        loss = y * p.clamp(min=self.eps).log() + (1 - y) * n.clamp(min=self.eps).log()
        return -loss.sum() / len(x)


class SupConLoss(nn.Module):
    def __init__(self, temperature=0.07, contrast_mode="all", base_temperature=0.07):
        super().__init__()
        self.t = temperature

    def forward(self, features, labels=None, mask=None):
        if len(features.shape) < 3:
            raise ValueError("`features` needs to be [bsz, n_views, ...],at least 3 dimensions are required")
        f = F.normalize(torch.cat(torch.unbind(features, 1)), dim=1)
        y = labels.repeat(features.shape[1])
        s = f @ f.T / self.t
        eye = torch.eye(len(f), dtype=torch.bool)
        pos = (y[:, None] == y[None]) & ~eye
        lp = s - s.masked_fill(eye, -1e9).logsumexp(1, keepdim=True)
        return -((pos * lp).sum(1) / pos.sum(1)).mean()


class DiceLike(nn.Module):
    def forward(self, y_pred, y_true):
        return F.cross_entropy(y_pred, y_true)


class ClsScore(nn.Module):
    def __init__(self, loss_weight=1.0):
        super().__init__()
        self.w = loss_weight

    def forward(self, cls_score, label, weight=None, avg_factor=None):
        return self.w * F.cross_entropy(cls_score, label)


class InpTarget(nn.Module):
    def forward(self, inp, target):
        return F.multi_margin_loss(inp, target)


class CosFaceLoss(nn.Module):
    def __init__(self, s=30.0, m=0.35):
        super().__init__()
        self.s, self.m = s, m

    def forward(self, cosine, label):
        return F.cross_entropy(self.s * (cosine - self.m * F.one_hot(label, cosine.shape[1])), label)


class ArcHead(nn.Module):
    def __init__(self, in_features, out_features, s=30.0, m=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.s, self.m = s, m

    def forward(self, input, label):
        return self.s * F.linear(F.normalize(input), F.normalize(self.weight))


class CenterLoss(nn.Module):
    def __init__(self, num_classes=10, feat_dim=2, use_gpu=False):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(num_classes, feat_dim))

    def forward(self, x, labels):
        return (x - self.centers[labels]).square().sum(1).clamp(1e-12, 1e12).mean()


class IBLoss(nn.Module):
    def __init__(self, weight=None, alpha=10000.0):
        super().__init__()
        self.alpha = alpha

    def forward(self, input, target, features):
        return F.cross_entropy(input, target)


def focal_loss(y_true, y_pred, gamma=2.0):
    ce = F.cross_entropy(y_pred, y_true, reduction="none")
    return ((1 - (-ce).exp()) ** gamma * ce).mean()


class GCE(nn.Module):
    def __init__(self, num_classes, q=0.7):
        super().__init__()
        self.num_classes, self.q = num_classes, q

    def forward(self, pred, labels):
        p = F.softmax(pred, 1).clamp(min=1e-7, max=1.0)
        return ((1 - (F.one_hot(labels, self.num_classes).float() * p).sum(1) ** self.q) / self.q).mean()


class Seesaw(nn.Module):
    def __init__(self, class_freq, p=0.8):
        super().__init__()
        self.n = torch.as_tensor(class_freq).float()
        self.p = p

    def forward(self, outputs, targets):
        r = (self.n[None] / self.n[targets][:, None]).clamp(max=1) ** self.p
        return F.cross_entropy(outputs + r.log().to(outputs), targets)


class ProxyAnchor(nn.Module):
    def __init__(self, nb_classes, sz_embed, mrg=0.1, alpha=32):
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(nb_classes, sz_embed))
        self.a = alpha

    def forward(self, X, T):
        return F.cross_entropy(F.normalize(X) @ F.normalize(self.proxies).T * self.a, T)


class PairLoss(nn.Module):
    def forward(self, embeddings, labels):
        d = (embeddings[:, None] - embeddings[None]).square().sum(-1)
        same = (labels[:, None] == labels[None]).to(d.dtype)
        return (same * d + (1 - same) * F.relu(1 - d)).mean()


class SoftTarget(nn.Module):
    def forward(self, logits, soft_targets):
        return -(soft_targets * logits.log_softmax(1)).sum(1).mean()


class BCE1(nn.Module):
    def __init__(self, img_num_per_cls):
        super().__init__()
        self.register_buffer("w", 1.0 / img_num_per_cls)

    def forward(self, logits, target):
        return F.cross_entropy(logits, target, weight=self.w.to(logits))


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2, reduction="none"):
    p = torch.sigmoid(inputs)
    ce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    loss = ce * (1 - p * targets - (1 - p) * (1 - targets)) ** gamma
    loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


class BalSCL(nn.Module):
    def __init__(self, cls_num_list=None, temperature=0.1):
        super().__init__()
        self.t = temperature
        self.cls_num_list = cls_num_list

    def forward(self, centers1, features, targets):
        return F.cross_entropy(F.normalize(features) @ F.normalize(centers1).T / self.t, targets)
