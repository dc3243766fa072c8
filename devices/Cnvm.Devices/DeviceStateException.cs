namespace Cnvm.Devices;

/// <summary>Saved state that a device cannot take: from another kind of device, another configuration, or damaged.</summary>
public sealed class DeviceStateException : Exception
{
    public DeviceStateException(string device, string field, string reason)
        : base($"saved state of {device} cannot be restored: {field}: {reason}")
    {
        Device = device;
        Field = field;
    }

    /// <summary>Which device refuses.</summary>
    public string Device { get; }

    /// <summary>Which field of its state record is wrong.</summary>
    public string Field { get; }
}
