namespace Cnvm.Shim.Sandboxes;

/// <summary>A virtual machine with containers. Disposing it ends the machine and removes its folder. All methods may run at the same time.</summary>
internal interface ISandbox : IAsyncDisposable
{
    /// <summary>Process number of the VMM on the host.</summary>
    int ProcessId { get; }

    /// <summary>Ends when the VMM has; what waits for its containers fails then.</summary>
    Task Ended { get; }

    /// <summary>Makes a container whose first process waits for its start; the one that the sandbox went on with is paused until then, or runs already.</summary>
    /// <exception cref="IOException">The guest refuses, or is gone.</exception>
    Task<IContainer> CreateAsync(ContainerSettings settings, CancellationToken cancellation);

    /// <summary>Waits until the guest's kernel has ended something for lack of memory; returns the container's identifier.</summary>
    Task<string> WaitForOutOfMemoryAsync(CancellationToken cancellation);

    /// <summary>Saves the machine's state, with all that runs in it, into a folder; it goes on then.</summary>
    /// <param name="container">The only container, for who goes on from there.</param>
    /// <param name="directory">Exists and is empty.</param>
    /// <exception cref="IOException">The machine refuses, or the disk is full.</exception>
    Task SaveAsync(string container, string directory, CancellationToken cancellation);
}
