namespace Cnvm.Guest.Tests;

/// <summary>Several at once.</summary>
internal sealed class CombinedLoad(string name, params IReadOnlyList<MigrationLoad> parts) : MigrationLoad(name)
{
    public override async Task StartAsync(GuestVm guest)
    {
        foreach (MigrationLoad part in parts)
        {
            await part.StartAsync(guest);
        }
    }

    public override async Task<string> EndAsync(GuestVm guest)
    {
        var said = new List<string>();
        foreach (MigrationLoad part in parts)
        {
            said.Add(await part.EndAsync(guest));
        }

        return string.Join("; ", said.Where(s => s.Length != 0));
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (MigrationLoad part in parts)
        {
            await part.DisposeAsync();
        }

        await base.DisposeAsync();
    }
}
