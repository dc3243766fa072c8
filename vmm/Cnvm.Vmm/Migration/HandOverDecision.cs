namespace Cnvm.Vmm.Migration;

/// <summary>What a target knows of a session. The numbers are those of the protocol's answer.</summary>
internal enum HandOverDecision : byte
{
    /// <summary>This process knows nothing of it.</summary>
    Unknown = 0,

    /// <summary>The guest runs here, or ran here.</summary>
    Running = 1,

    /// <summary>The guest does not run here and never will.</summary>
    Discarded = 2,

    /// <summary>The guest is being started: ask again.</summary>
    Starting = 3,

    /// <summary>Not decided yet; never sent.</summary>
    Open = 4,
}
