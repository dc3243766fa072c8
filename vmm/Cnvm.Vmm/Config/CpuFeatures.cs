namespace Cnvm.Vmm.Config;

/// <summary>CPU features that a guest gets only when asked for.</summary>
/// <param name="Extra">Names as /proc/cpuinfo has them: shown beside what the profile shows, or, with a minus sign before, hidden.</param>
public sealed record CpuFeatures(bool Amx = false, IReadOnlyList<string>? Extra = null);
