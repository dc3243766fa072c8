namespace Cnvm.Agent.Protocol;

/// <summary>A family of addresses.</summary>
public enum IPFamily
{
    /// <summary>IPv4.</summary>
    V4 = 0,

    /// <summary>IPv6.</summary>
    V6 = 1,
}
