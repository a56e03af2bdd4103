"""What a workflow may ask of the world: one class per capability, its ports injected by the constructor."""
