using System.Diagnostics;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>The payload, built from its sources for the tests of one class.</summary>
public sealed class PayloadFile : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("cnvm-payload-");

    public PayloadFile()
    {
        if (!Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(d => File.Exists(System.IO.Path.Combine(d, "gcc"))))
        {
            Obstacle = "gcc is not installed";
            return;
        }

        using Process build = Process.Start(new ProcessStartInfo("sh", [System.IO.Path.Combine(Sources, "build.sh"), Path])
        {
            RedirectStandardError = true,
        })!;
        string errors = build.StandardError.ReadToEnd();
        build.WaitForExit();
        if (build.ExitCode != 0)
        {
            throw new InvalidOperationException($"the payload does not build: {errors}");
        }
    }

    /// <summary>Why there is no payload; null when there is one.</summary>
    public string? Obstacle { get; }

    public string Path => System.IO.Path.Combine(_folder.FullName, "payload");

    public void Dispose() => _folder.Delete(recursive: true);

    private static string Sources
    {
        get
        {
            DirectoryInfo? at = new(AppContext.BaseDirectory);
            while (at is not null && !File.Exists(System.IO.Path.Combine(at.FullName, "cnvm.sln")))
            {
                at = at.Parent;
            }

            return System.IO.Path.Combine(at?.FullName ?? throw new InvalidOperationException("the tests run outside a checkout"), "guest-images/payload");
        }
    }
}
