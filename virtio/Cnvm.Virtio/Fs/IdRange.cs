namespace Cnvm.Virtio.Fs;

/// <summary>Users, or groups, that have other numbers on the host than in the guest.</summary>
/// <param name="Guest">The first as the guest calls it.</param>
/// <param name="Host">The same one on the host.</param>
/// <param name="Count">How many follow one another, 1 or more.</param>
public readonly record struct IdRange(uint Guest, uint Host, uint Count);
