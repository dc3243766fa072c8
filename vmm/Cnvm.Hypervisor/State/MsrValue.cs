namespace Cnvm.Hypervisor.State;

/// <summary>One model-specific register.</summary>
public readonly record struct MsrValue(uint Index, ulong Value);
