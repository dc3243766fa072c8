namespace Cnvm.Hypervisor.State;

/// <summary>What becomes of a model-specific register on a host that does not take its value.</summary>
public enum MsrPolicy : byte
{
    /// <summary>The guest relies on it: a host that does not take the value cannot run the guest. Zero may be left out.</summary>
    Preserve = 0,

    /// <summary>It describes or tunes the host the guest came from: where it is not taken, the new host's own value stands.</summary>
    Offer = 1,
}
