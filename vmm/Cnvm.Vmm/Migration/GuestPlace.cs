namespace Cnvm.Vmm.Migration;

/// <summary>Where a guest that moves is, as far as this side knows.</summary>
public enum GuestPlace
{
    /// <summary>Here: this process runs it, or keeps it paused.</summary>
    Here,

    /// <summary>At the other side.</summary>
    There,

    /// <summary>Not known: this side does not run it.</summary>
    Unknown,
}
