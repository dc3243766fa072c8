using Cnvm.Arch;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>Message-signalled interrupts. Eventfd triggers of routes are watched by one thread, started with the first that is used.</summary>
internal sealed class SoftInterrupts : IInterruptController, IDisposable
{
    private readonly SoftPartition _partition;
    private readonly MsiMessage?[] _pins;
    private readonly Lock _gate = new();
    private readonly List<Route> _routes = [];
    private readonly EventFd _changed = new();
    private Thread? _watcher;
    private volatile bool _stop;

    public SoftInterrupts(SoftPartition partition, int pins)
    {
        _partition = partition;
        _pins = new MsiMessage?[pins];
    }

    public void SignalMsi(MsiMessage message)
    {
        ulong address = message.Address;
        uint data = message.Data;
        uint destination = (uint)((address >> 12) & 0xff) | ((uint)(address >> 40) << 8);
        bool logical = (address & 4) != 0;
        _partition.Route(null, 0, destination, logical, destination > 0xff, (int)(data >> 8) & 7, (int)data & 0xff, (data & 0x8000) != 0);
    }

    public IMsiRoute CreateMsiRoute()
    {
        Route route = new(this);
        lock (_gate)
        {
            _routes.Add(route);
        }

        return route;
    }

    public void SetIoApicRoute(int pin, MsiMessage? message)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pin);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(pin, _pins.Length);
        // Level interrupts carry their trigger mode with them, so the APIC knows what to broadcast; the route is only kept.
        _pins[pin] = message;
    }

    public void Dispose()
    {
        _stop = true;
        _changed.Signal();
        _watcher?.Join();
        _changed.Dispose();
    }

    private void Watch(Route route)
    {
        lock (_gate)
        {
            route.Watched = true;
            if (_watcher is null)
            {
                _watcher = new Thread(WatchLoop, 256 * 1024) { IsBackground = true, Name = "irqfd" };
                _watcher.Start();
            }
        }

        _changed.Signal();
    }

    private void Remove(Route route)
    {
        lock (_gate)
        {
            _routes.Remove(route);
        }

        _changed.Signal();
    }

    private void WatchLoop()
    {
        PollEntry[] entries = [];
        Route[] watched = [];
        bool stale = true;
        while (!_stop)
        {
            if (stale)
            {
                lock (_gate)
                {
                    watched = [.. _routes.Where(r => r.Watched)];
                    entries = new PollEntry[watched.Length + 1];
                    entries[0] = new PollEntry { Fd = _changed.Fd, Events = PollEntry.In };
                    for (int i = 0; i < watched.Length; i++)
                    {
                        entries[i + 1] = new PollEntry { Fd = watched[i].Fd, Events = PollEntry.In };
                    }
                }
            }

            Poll.Wait(entries, -1);
            stale = _changed.Drain();
            if (stale)
            {
                // A removed route's descriptor may be closed by now: look only at a fresh list.
                continue;
            }

            foreach (Route route in watched)
            {
                route.Poll();
            }
        }
    }

    private sealed class Route : IMsiRoute
    {
        private readonly SoftInterrupts _owner;
        private readonly Lock _gate = new();
        private readonly int _fd;
        private EventFd? _trigger;
        private MsiMessage? _message;

        public Route(SoftInterrupts owner)
        {
            _owner = owner;
            _trigger = new EventFd();
            _fd = _trigger.Fd;
        }

        public bool Watched { get; set; }

        public int Fd => _fd;

        public EventFd Trigger
        {
            get
            {
                EventFd trigger = _trigger ?? throw new ObjectDisposedException(nameof(IMsiRoute));
                if (!Watched)
                {
                    _owner.Watch(this);
                }

                return trigger;
            }
        }

        public void SetMessage(MsiMessage? message)
        {
            lock (_gate)
            {
                _message = message;
            }
        }

        public void Signal()
        {
            MsiMessage? message;
            lock (_gate)
            {
                message = _message;
            }

            if (message is { } m)
            {
                _owner.SignalMsi(m);
            }
        }

        public void Poll()
        {
            bool fired;
            lock (_gate)
            {
                fired = _trigger?.Drain() ?? false;
            }

            if (fired)
            {
                Signal();
            }
        }

        public void Dispose()
        {
            _owner.Remove(this);
            lock (_gate)
            {
                _trigger?.Dispose();
                _trigger = null;
            }
        }
    }
}
