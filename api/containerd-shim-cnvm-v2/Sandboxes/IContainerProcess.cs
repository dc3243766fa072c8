namespace Cnvm.Shim.Sandboxes;

/// <summary>A process in a container. One reader for each output, one writer. All methods throw <see cref="IOException"/> when the guest refuses or is gone.</summary>
internal interface IContainerProcess
{
    /// <summary>Waits for the end; returns the exit code, or 128 and the number of the signal that killed it.</summary>
    Task<int> WaitAsync(CancellationToken cancellation);

    /// <param name="signal">Number, 1 to 64.</param>
    Task SignalAsync(int signal, CancellationToken cancellation);

    /// <summary>Reads from stdout, or the terminal; 0 at its end.</summary>
    ValueTask<int> ReadOutputAsync(Memory<byte> buffer, CancellationToken cancellation);

    /// <summary>Reads from stderr; 0 at its end. Not with a terminal.</summary>
    ValueTask<int> ReadErrorAsync(Memory<byte> buffer, CancellationToken cancellation);

    /// <summary>Writes all of it to stdin.</summary>
    ValueTask WriteInputAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation);

    Task CloseInputAsync(CancellationToken cancellation);

    /// <summary>Size of the terminal in characters.</summary>
    Task ResizeAsync(uint width, uint height, CancellationToken cancellation);
}
