"""Which rows to hold out for an evaluation: some of every subject, near-duplicates apart (WildFeedback, step 4).

Prompts are clustered by their sentence embeddings; from each cluster come the ones nearest to its centre.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.nn.functional import normalize

from plus.models.embeddings import Embeddings, Encode

SAME = 0.95  # cosine from which two prompts are one


def sample(prompts: Sequence[str], count: int, encode: Encode, clusters: int = 70, seed: int = 0) -> list[int]:
    """The places of at most `count` prompts, in order: by turns the nearest, the second nearest, ... to each centre.

    Deterministic. No two of those sampled are alike. `clusters` is lowered to the number of prompts.
    """
    from sklearn.cluster import KMeans

    if not prompts or count <= 0:
        return []
    vectors_ND = normalize(Embeddings(encode).vectors(prompts), dim=1).numpy().astype(np.float64)
    distinct = len(np.unique(vectors_ND.round(6), axis=0))
    made = KMeans(min(clusters, distinct), n_init=3, random_state=seed).fit(vectors_ND)
    distance_N = np.linalg.norm(vectors_ND - made.cluster_centers_[made.labels_], axis=1)
    rank: dict[int, int] = {}
    order: list[tuple[int, int, int]] = []  # (rank in its cluster, cluster, place)
    for place in np.argsort(distance_N, kind="stable").tolist():
        cluster = int(made.labels_[place])
        order.append((rank.setdefault(cluster, 0), cluster, place))
        rank[cluster] += 1
    kept: list[int] = []
    for _, _, place in sorted(order):
        if len(kept) < count and (not kept or (vectors_ND[kept] @ vectors_ND[place]).max() < SAME):
            kept.append(place)
    return sorted(kept)
