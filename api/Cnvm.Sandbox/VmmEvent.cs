namespace Cnvm.Sandbox;

/// <summary>Something that happened in the VMM of a sandbox.</summary>
/// <param name="Source">Who says so: <c>vmm</c>, <c>vm</c>, <c>guest</c>, <c>virtio-device</c>.</param>
/// <param name="Name">What happened: <c>booted</c>, <c>paused</c>, <c>panic</c>, ...</param>
/// <param name="Properties">More about it; empty for nothing.</param>
public sealed record VmmEvent(string Source, string Name, IReadOnlyDictionary<string, string> Properties);
