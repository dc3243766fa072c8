namespace Cnvm.Devices.Time;

/// <summary>A one-shot timer in VM time. Owned by the device that made it.</summary>
public interface IVmTimer : IDisposable
{
    /// <summary>Fires once when VM time reaches <paramref name="deadline"/> nanoseconds; replaces an earlier deadline.</summary>
    void Arm(ulong deadline);

    void Disarm();
}
