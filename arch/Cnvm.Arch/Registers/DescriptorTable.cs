namespace Cnvm.Arch.Registers;

/// <summary>GDTR or IDTR: linear base and limit in bytes minus one.</summary>
public readonly record struct DescriptorTable(ulong Base, ushort Limit);
