using Cnvm.Devices;
using Cnvm.Virtio.Queues;

namespace Cnvm.Virtio;

/// <summary>
/// A virtio device without its transport: traits, configuration space, and queues that can be started and stopped one by one.
/// The transport serialises every call; only configuration reads may come while queues run.
/// </summary>
public abstract class VirtioDevice : IDisposable
{
    /// <param name="id">Name in configuration, threads and messages, for example <c>_disk0</c>.</param>
    protected VirtioDevice(string id)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        Id = id;
    }

    public string Id { get; }

    public abstract VirtioDeviceType DeviceType { get; }

    /// <summary>Features on offer, without VIRTIO_F_VERSION_1, which the transport adds.</summary>
    public abstract ulong Features { get; }

    /// <summary>Largest size of every queue; its length is the number of queues.</summary>
    public abstract IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>Another process has the doorbells, too: only what cannot wait may be done with them.</summary>
    public virtual bool SharesDoorbells => false;

    /// <summary>Why what the device is doing cannot be saved now; null if it can. All queues are stopped.</summary>
    public virtual string? SaveObstacle => null;

    /// <summary>Told when a driver has taken the device (true) or lets go of it (false), on the thread that does so. Must not block.</summary>
    public Action<bool>? ActivityChanged { get; set; }

    /// <summary>Where the device announces changes outside its queues; null until a transport takes the device.</summary>
    protected IVirtioInterrupts? Interrupts { get; private set; }

    /// <summary>Called once by the transport.</summary>
    public void Attach(IVirtioInterrupts interrupts) => Interrupts = interrupts;

    /// <summary>Fills <paramref name="data"/> from the device's configuration; zeroes beyond its end.</summary>
    public abstract void ReadConfiguration(uint offset, Span<byte> data);

    /// <summary>Takes a driver's write to the configuration. What is not writable is ignored.</summary>
    public virtual void WriteConfiguration(uint offset, ReadOnlySpan<byte> data)
    {
    }

    /// <summary>Learns what was negotiated, before the first queue starts.</summary>
    /// <param name="features">Always a subset of what was on offer.</param>
    public virtual void Activate(ulong features)
    {
    }

    /// <summary>The queues that start or stop from now on, until this is called again, do so together.</summary>
    public virtual void BeginSeries()
    {
    }

    /// <summary>Begins to serve a queue, looking at it at once: a notification may have been lost with an earlier stop.</summary>
    /// <exception cref="Cnvm.Linux.LinuxException">The host refused a thread or a descriptor.</exception>
    public abstract void StartQueue(int index, QueueResources resources);

    /// <summary>
    /// Stops serving a queue. Requests in flight are finished and published first, so the state says all. Harmless when the queue
    /// is not running.
    /// </summary>
    /// <returns>The queue's state; null when it was not running.</returns>
    public abstract QueueState? StopQueue(int index);

    /// <summary>Goes back to the state before <see cref="Activate"/>. All queues are stopped.</summary>
    public abstract void Reset();

    /// <summary>The device's own state; changes nothing. All queues are stopped.</summary>
    public abstract VirtioDeviceState Save();

    /// <summary>Takes a state over. All queues are stopped; <see cref="Activate"/> came before if the saved device was active.</summary>
    /// <exception cref="DeviceStateException">It belongs to another kind of device, or does not fit this one.</exception>
    public abstract void Restore(VirtioDeviceState state);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }

    /// <summary>Copies from a configuration image; zeroes beyond its end.</summary>
    protected static void CopyConfiguration(ReadOnlySpan<byte> image, uint offset, Span<byte> data)
    {
        data.Clear();
        if (offset < image.Length)
        {
            ReadOnlySpan<byte> from = image[(int)offset..];
            from[..Math.Min(from.Length, data.Length)].CopyTo(data);
        }
    }

    /// <summary>The state as the type that this device saves.</summary>
    protected T Expect<T>(VirtioDeviceState state)
        where T : VirtioDeviceState =>
        state as T ?? throw new DeviceStateException(Id, "device", $"it is a {state?.GetType().Name ?? "nothing"}, not a {typeof(T).Name}");
}
