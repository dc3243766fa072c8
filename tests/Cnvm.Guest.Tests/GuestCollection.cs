namespace Cnvm.Guest.Tests;

/// <summary>Tests that share the nested host.</summary>
[CollectionDefinition(Name)]
public sealed class GuestCollection : ICollectionFixture<NestedHostFixture>
{
    public const string Name = "guests";
}
