namespace Cnvm.Vmm.Requests;

/// <summary>What a restored guest's clocks show.</summary>
public enum ClockRestoreMode
{
    /// <summary>They go on where they stood when the snapshot was taken.</summary>
    Hold,

    /// <summary>They have gone on meanwhile, as the host's wall clock has.</summary>
    Advance,
}
