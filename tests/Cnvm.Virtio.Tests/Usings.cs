global using Cnvm.Virtio;
