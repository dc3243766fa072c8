namespace Cnvm.Shim.Sandboxes;

/// <summary>Starts sandboxes. What the shim knows of virtual machines is this and what it returns, so that its own rules are tested without one.</summary>
internal interface ISandboxFactory
{
    /// <summary>Starts a virtual machine and waits until containers can be made in it.</summary>
    /// <exception cref="IOException">It does not come up; the message says why. Nothing of it is left.</exception>
    Task<ISandbox> StartAsync(SandboxSettings settings, CancellationToken cancellation);

    /// <summary>Ends a sandbox whose shim is gone: its VMM, its mounts, its folder. Does nothing if nothing is left.</summary>
    /// <param name="directory">The folder that the sandbox was started with.</param>
    /// <param name="name">Its name.</param>
    /// <exception cref="IOException">Something cannot be removed.</exception>
    void CleanUp(string directory, string name);
}
