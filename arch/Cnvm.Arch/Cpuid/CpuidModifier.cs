namespace Cnvm.Arch.Cpuid;

/// <summary>What a profile does with one register of one leaf.</summary>
public sealed record CpuidModifier(uint Leaf, uint Subleaf, CpuidRegister Register, TriStateMask Mask);
