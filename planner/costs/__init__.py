"""What a configuration costs, from its dimensions and a device: FLOPs, memory, training, latency."""
