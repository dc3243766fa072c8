namespace Cnvm.Arch.Registers;

/// <summary>Consecutive model-specific registers.</summary>
/// <param name="First">Index of the first one.</param>
/// <param name="Count">How many.</param>
public readonly record struct MsrRange(uint First, uint Count);
