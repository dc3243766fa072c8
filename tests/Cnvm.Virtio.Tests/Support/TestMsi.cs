using Cnvm.Arch;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Counts the messages of each vector.</summary>
internal sealed class TestMsi : IMsiController
{
    public List<Vector> Vectors { get; } = [];

    public void Signal(MsiMessage message)
    {
    }

    public IMsiVector CreateVector()
    {
        Vector vector = new();
        Vectors.Add(vector);
        return vector;
    }

    public void SetIoApicRoute(int pin, MsiMessage? message)
    {
    }

    internal sealed class Vector : IMsiVector
    {
        private readonly ManualResetEventSlim _raised = new();
        private int _count;

        public int Count => Volatile.Read(ref _count);

        public MsiMessage? Message { get; private set; }

        public int EventFd => -1;

        public void SetMessage(MsiMessage? message) => Message = message;

        public void Signal()
        {
            Interlocked.Increment(ref _count);
            _raised.Set();
        }

        public void Await()
        {
            Assert.True(_raised.Wait(TimeSpan.FromSeconds(10)), "no interrupt within ten seconds");
            _raised.Reset();
        }

        public void Dispose()
        {
        }
    }
}
