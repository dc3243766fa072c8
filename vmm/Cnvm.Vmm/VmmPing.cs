namespace Cnvm.Vmm;

/// <summary>The answer to <c>vmm.ping</c>.</summary>
/// <param name="BuildVersion">Version with the build it comes from.</param>
/// <param name="Version">Version.</param>
/// <param name="Pid">This process.</param>
/// <param name="Features">Optional abilities that were compiled in, under Cloud Hypervisor's names, for example <c>kvm</c>.</param>
public sealed record VmmPing(string BuildVersion, string Version, long Pid, IReadOnlyList<string> Features);
