namespace Cnvm.Arch.Cpuid;

/// <summary>What a profile does with one model-specific register before the guest starts.</summary>
public sealed record MsrModifier(uint Index, TriStateMask Mask);
