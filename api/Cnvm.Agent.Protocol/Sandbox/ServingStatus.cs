namespace Cnvm.Agent.Protocol;

/// <summary>Whether a service works.</summary>
public enum ServingStatus
{
    /// <summary>Nobody knows.</summary>
    Unknown = 0,

    /// <summary>It does.</summary>
    Serving = 1,

    /// <summary>It does not.</summary>
    NotServing = 2,
}
