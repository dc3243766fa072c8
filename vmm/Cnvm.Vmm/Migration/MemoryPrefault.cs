using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;

namespace Cnvm.Vmm.Migration;

/// <summary>
/// Takes the memory of a guest that arrives from the host (prefault) while its contents come. Before them the source would wait for it, as
/// long as that takes.
/// </summary>
internal sealed class MemoryPrefault : IDisposable
{
    // Between two looks whether it has been given up. A multiple of the largest huge page.
    private const ulong PieceBytes = 1 << 30;
    private const int LookMilliseconds = 200;
    private const int StackBytes = 128 << 10;
    private readonly IReadOnlyList<RamRegion> _regions;
    private readonly Thread _thread;
    private volatile bool _isGivenUp;
    private GuestRamException? _failure;

    /// <param name="regions">Mapped until this object is disposed.</param>
    public MemoryPrefault(IReadOnlyList<RamRegion> regions)
    {
        _regions = regions;
        _thread = new Thread(Run, StackBytes) { Name = "memory-prefault", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Waits until all of it is there.</summary>
    /// <param name="isGivenUp">Asked several times a second.</param>
    /// <exception cref="MigrationException">The host cannot give it.</exception>
    /// <exception cref="OperationCanceledException">It was given up.</exception>
    public void Await(Func<bool> isGivenUp)
    {
        while (!_thread.Join(LookMilliseconds))
        {
            if (isGivenUp())
            {
                throw new OperationCanceledException();
            }
        }

        if (_failure is { } failure)
        {
            throw new MigrationException(failure.Message, failure);
        }
    }

    /// <summary>Stops.</summary>
    public void Dispose()
    {
        _isGivenUp = true;
        _thread.Join();
    }

    private void Run()
    {
        NativeThread.ShowName();
        try
        {
            foreach (RamRegion region in _regions)
            {
                for (ulong at = 0; at < region.Size && !_isGivenUp; at += PieceBytes)
                {
                    GuestRamAllocator.Prefault(region, at, Math.Min(region.Size - at, PieceBytes));
                }
            }
        }
        catch (GuestRamException e)
        {
            _failure = e;
        }
    }
}
