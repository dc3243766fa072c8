namespace Cnvm.Vmm.Tests.Migration;

/// <summary>What is done to one message on its way.</summary>
public enum Fault
{
    /// <summary>It is lost and so is the connection.</summary>
    CutBefore,

    /// <summary>Half of it arrives, then the connection is lost.</summary>
    CutInside,

    /// <summary>It arrives, then the connection is lost.</summary>
    CutAfter,

    /// <summary>A bit of its header changes.</summary>
    CorruptHeader,

    /// <summary>A bit of its last byte changes.</summary>
    CorruptEnd,

    /// <summary>It arrives late.</summary>
    Delay,

    /// <summary>Its second half arrives late.</summary>
    Slow,

    /// <summary>It arrives twice.</summary>
    Duplicate,

    /// <summary>The following one comes before it.</summary>
    Reorder,

    /// <summary>It is lost, and the connection stays.</summary>
    Drop,
}
