using Microsoft.Extensions.Logging;
namespace Cnvm.Shim.Sandboxes;
internal sealed class SandboxFactory(ILogger logger) : ISandboxFactory
{
    public Task<ISandbox> StartAsync(SandboxSettings settings, CancellationToken cancellation) => throw new IOException("none" + logger);
    public int CleanUp(string directory) => 0;
}
