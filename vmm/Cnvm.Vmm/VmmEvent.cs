namespace Cnvm.Vmm;

/// <summary>Something that happened, for the event monitor. Names are Cloud Hypervisor's.</summary>
/// <param name="Source"><c>vmm</c>, <c>vm</c>, <c>guest</c> or <c>virtio-device</c>.</param>
/// <param name="Name">For example <c>booted</c>.</param>
/// <param name="Properties">Details by name; null for none.</param>
public sealed record VmmEvent(string Source, string Name, IReadOnlyDictionary<string, string>? Properties = null);
