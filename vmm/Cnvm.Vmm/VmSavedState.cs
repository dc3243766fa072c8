namespace Cnvm.Vmm;

/// <summary>The answer to <c>vm.state</c>, in the shape of a snapshot's <c>state.json</c> (Snapshot/FORMAT.md).</summary>
/// <param name="Format">What <paramref name="State"/> is.</param>
/// <param name="Version">Version of that format.</param>
/// <param name="State">The machine's state in base64; none of its memory.</param>
public sealed record VmSavedState(string Format, uint Version, string State);
