namespace Cnvm.Agent.Protocol;

/// <summary>When the files of a volume get their group.</summary>
public enum FSGroupChangePolicy
{
    /// <summary>Always.</summary>
    Always = 0,

    /// <summary>Only when the volume's root has another one.</summary>
    OnRootMismatch = 1,
}
