using Cnvm.Fuzz;
using Cnvm.Virtio.Rng;
using Cnvm.Virtio.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Transport;

/// <summary>Registers of the MMIO transport, whatever a guest does to them.</summary>
public sealed class MmioFuzzTests : IDisposable
{
    private const int StatusRegister = 0x70;
    private const int RegisterBytes = 0x200;
    private readonly TestMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Random_register_accesses_do_no_harm()
    {
        using MmioGuest guest = new(new RngDevice("__rng", "/dev/urandom", NullLogger.Instance), _memory);
        byte[] data = new byte[8];
        SeededRuns.Repeat(200, seed =>
        {
            Random random = new(seed);
            for (int i = 0; i < 1000; i++)
            {
                Span<byte> access = data.AsSpan(0, 1 << random.Next(4));
                int offset = random.Next(4) == 0 ? random.Next(RegisterBytes) : random.Next(0, 0x100 / 4) * 4;
                random.NextBytes(access);
                if (random.Next(3) == 0)
                {
                    guest.Transport.Read((ulong)offset, access);
                }
                else if (offset != StatusRegister || random.Next(50) == 0)
                {
                    // Starts and resets wait for threads, so there are fewer of them.
                    guest.Transport.Write((ulong)offset, access);
                }
            }
        });

        DriverQueue queue = new(_memory, 0x1000, 16, eventIndex: false);
        guest.Start(0, queue);
        queue.Add(Piece.Out(0x1_0000, 8));
        Assert.Equal(8u, guest.Run(0, queue));
    }
}
