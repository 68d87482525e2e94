"""How far this node is from evicting pods: the kubelet's own arithmetic, pure, with thin shells around it."""
