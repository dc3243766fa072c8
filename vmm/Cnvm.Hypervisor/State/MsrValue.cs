namespace Cnvm.Hypervisor.State;

/// <summary>One model-specific register.</summary>
public readonly record struct MsrValue(uint Index, ulong Value)
{
    /// <summary>What becomes of it on a host that does not take it.</summary>
    public MsrPolicy Policy { get; init; } = MsrPolicies.Of(Index);
}
