using BenchmarkDotNet.Attributes;
using Cnvm.Devices.Bus;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Micro;

/// <summary>An access of a vCPU on its way to a device, on a bus as full as that of a large machine.</summary>
[MemoryDiagnoser]
public class BusDispatch
{
    private const int Devices = 64;
    private const ulong Spacing = 0x1000;
    private readonly IoBus _bus = new("memory", ulong.MaxValue, NullLogger.Instance);
    private readonly byte[] _data = new byte[4];
    private ulong _address;

    [GlobalSetup]
    public void SetUp()
    {
        for (ulong i = 0; i < Devices; i++)
        {
            _bus.Register(0xc000_0000 + (i * Spacing), 0x100, new Register(), "register");
        }
    }

    [Benchmark]
    public IoResult Read() => _bus.Read(Next(), _data);

    [Benchmark]
    public IoResult Write() => _bus.Write(Next(), _data);

    /// <summary>What no device answers.</summary>
    [Benchmark]
    public IoResult ReadNothing() => _bus.Read(Next() + 0x800, _data);

    /// <summary>Another device each time, so that the search does not profit from having found it before.</summary>
    private ulong Next()
    {
        _address = (_address + (Spacing * 27)) & ((Devices * Spacing) - 1);
        return 0xc000_0000 + _address;
    }

    private sealed class Register : IIoDevice
    {
        private ulong _value;

        public IoResult Read(ulong offset, Span<byte> data)
        {
            IoData.Set(data, _value);
            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            _value = IoData.Get(data);
            return IoResult.Ok;
        }
    }
}
