namespace Cnvm.Vmm.Config;

/// <summary>CPU features that a guest gets only when asked for.</summary>
public sealed record CpuFeatures(bool Amx = false);
