using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>The machine that the tests of one collection share.</summary>
public abstract class GuestHostFixture : IAsyncLifetime
{
    /// <summary>The program under test, published by `make build`.</summary>
    public static string Vmm => Environment.GetEnvironmentVariable("CNVM_VMM") ?? Path.Combine(Repository.Root, "out", "bin", "cnvm-vmm");

    /// <summary>The host, in working order; skips the test that asks for it when this machine cannot have one.</summary>
    public abstract Task<GuestHost> HostAsync();

    /// <summary>Does nothing: whether a host is needed is known when the first test asks for it.</summary>
    public virtual Task InitializeAsync() => Task.CompletedTask;

    public abstract Task DisposeAsync();

    /// <summary>Skips the test when the program or one of the images is missing.</summary>
    protected static void SkipWithout(params string[] images)
    {
        Skip.If(!File.Exists(Vmm), $"{Vmm} is missing: 'make build' makes it");
        string? missing = images.FirstOrDefault(image => !File.Exists(Path.Combine(Repository.Images, image)));
        Skip.If(missing is not null, $"{missing} is missing in {Repository.Images}: 'make images' makes it");
    }
}
