using Cnvm.Arch;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>Local APICs' side that records what is sent.</summary>
internal sealed class RecordingMsi : IMsiController
{
    public List<MsiMessage> Sent { get; } = new(1024);

    public Dictionary<int, MsiMessage?> Routes { get; } = [];

    public int RouteChanges { get; private set; }

    public List<Vector> Vectors { get; } = [];

    public bool Records { get; set; } = true;

    public void Signal(MsiMessage message)
    {
        if (Records)
        {
            Sent.Add(message);
        }
    }

    public IMsiVector CreateVector()
    {
        Vector vector = new(this);
        Vectors.Add(vector);
        return vector;
    }

    public void SetIoApicRoute(int pin, MsiMessage? message)
    {
        RouteChanges++;
        Routes[pin] = message;
    }

    internal sealed class Vector(RecordingMsi owner) : IMsiVector
    {
        public MsiMessage? Message { get; private set; }

        public bool IsDisposed { get; private set; }

        public int EventFd => -1;

        public void SetMessage(MsiMessage? message) => Message = message;

        public void Signal()
        {
            if (Message is { } message)
            {
                owner.Signal(message);
            }
        }

        public void Dispose() => IsDisposed = true;
    }
}
