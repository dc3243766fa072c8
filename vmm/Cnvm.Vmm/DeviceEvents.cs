namespace Cnvm.Vmm;

/// <summary>
/// Events of virtio devices that drivers take and let go of. A guest can do that as often as it likes, and events may end in a file on the
/// host: beyond a number for each second they are dropped.
/// </summary>
internal sealed class DeviceEvents(Action<VmmEvent> onEvent)
{
    private const int MostInASecond = 64;
    private const int MillisecondsPerSecond = 1000;
    private readonly Lock _lock = new();
    private long _second;
    private int _count;

    /// <summary>Any thread.</summary>
    /// <param name="active">A driver has taken the device; false: it has let go of it.</param>
    public void Add(string id, bool active)
    {
        lock (_lock)
        {
            long second = Environment.TickCount64 / MillisecondsPerSecond;
            _count = second == _second ? _count + 1 : 1;
            _second = second;
            if (_count > MostInASecond)
            {
                return;
            }
        }

        onEvent(new VmmEvent("virtio-device", active ? "activated" : "reset", new Dictionary<string, string> { ["id"] = id }));
    }
}
