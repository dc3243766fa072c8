namespace Cnvm.Guest.Tests.Soft;

/// <summary>Tests that run guests on this machine's software vCPU.</summary>
[CollectionDefinition(Name)]
public sealed class SoftGuests : ICollectionFixture<SoftHostFixture>
{
    public const string Name = "guests on the software vCPU";
}
