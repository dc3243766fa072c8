namespace Cnvm.Vmm.Migration;

/// <summary>How far a migration is.</summary>
public enum MigrationPhase
{
    /// <summary>The source connects; the target waits for a source.</summary>
    Connecting,

    /// <summary>The target checks whether it can run the guest.</summary>
    Checking,

    /// <summary>Memory is sent while the guest runs at the source.</summary>
    Precopy,

    /// <summary>The guest stands still: the rest of its memory and its state are sent.</summary>
    Stopped,

    /// <summary>The source has told the target to run the guest and waits for its word.</summary>
    HandOver,

    /// <summary>The guest runs at the target; pages that are missing there follow.</summary>
    Postcopy,

    /// <summary>So it does, but the connection is lost: it waits where pages are missing, the source keeps them and connects again.</summary>
    PostcopyLost,

    /// <summary>The connection was lost in that moment: the source asks the target.</summary>
    Asking,

    /// <summary>The guest has moved.</summary>
    Completed,

    /// <summary>It has not: it is still at the source.</summary>
    Failed,

    /// <summary>Somebody ended it: the guest is still at the source.</summary>
    Cancelled,

    /// <summary>Only that was asked for: the target could take the guest, which is still at the source.</summary>
    Checked,

    /// <summary>Nobody answers: the source keeps the guest paused, as it may run at the target.</summary>
    Unknown,
}
