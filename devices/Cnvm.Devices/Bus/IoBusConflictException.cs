namespace Cnvm.Devices.Bus;

/// <summary>Two devices want the same addresses, or one wants addresses that its bus does not have.</summary>
public sealed class IoBusConflictException : Exception
{
    internal IoBusConflictException(string message, string wanted, string? occupied)
        : base(message)
    {
        Wanted = wanted;
        Occupied = occupied;
    }

    /// <summary>Name and range that were asked for.</summary>
    public string Wanted { get; }

    /// <summary>Name and range of the device that is there already; null when the range does not fit the bus.</summary>
    public string? Occupied { get; }
}
