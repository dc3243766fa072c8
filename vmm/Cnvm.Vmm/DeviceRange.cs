namespace Cnvm.Vmm;

/// <summary>Guest physical addresses.</summary>
/// <param name="Size">Bytes.</param>
public sealed record DeviceRange(ulong Base, ulong Size);
