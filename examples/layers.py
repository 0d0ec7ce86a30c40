"""Which layer of which network? Every layer of the nine bundled networks, from one forward pass each.

python examples/layers.py
"""

import nrjax

zoo, images, labels = nrjax.load_demo()
ranking = nrjax.rank(zoo, images, labels, layers="all", scores="silhouette", confidence=True, progress=False)
print(ranking)
print()
for layer in ranking.by_layer["F10"]:
    scores = {name: found[layer] for name, found in ranking.by_layer.items()}
    best = max(scores, key=scores.__getitem__)
    print(f"{layer:8} {min(scores.values()):7.3f} to {max(scores.values()):6.3f}, the best of {best}")
