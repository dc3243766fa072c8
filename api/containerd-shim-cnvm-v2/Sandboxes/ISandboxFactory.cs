namespace Cnvm.Shim.Sandboxes;

/// <summary>Starts sandboxes. What the shim knows of virtual machines is this and what it returns, so that its own rules are tested without one.</summary>
internal interface ISandboxFactory
{
    /// <summary>Starts a virtual machine and waits until containers can be made in it.</summary>
    /// <exception cref="IOException">It does not come up; the message says why. Nothing of it is left.</exception>
    Task<ISandbox> StartAsync(SandboxSettings settings, CancellationToken cancellation);

    /// <summary>Ends a sandbox whose shim is gone: its VMM, its mounts, its folder. Does nothing if nothing is left.</summary>
    /// <param name="directory">The folder that the sandbox was started with.</param>
    /// <returns>Process number of the VMM that the folder spoke of; 0 if it did not.</returns>
    int CleanUp(string directory);
}
