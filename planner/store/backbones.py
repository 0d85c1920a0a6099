"""The user's own backbones: kept in a database, and read from it as a value."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, insert, select, update

from planner.errors import InputError
from planner.store import schema
from planner.store.clock import NowUtc
from planner.store.transactions import read, write
from planner.words.catalogue import Backbone, Catalogue, check_own, to_config
from planner.words.records import canonical_json
from planner.words.stored_backbone import read_stored


def catalogue(engine: Engine) -> Catalogue:
    """What the names of backbones mean in this database: the built-in ones, and those added to it.

    A row that is no backbone is known as such, and keeps nobody from using the others.
    """
    table = schema.backbones
    query = select(table.c.name, table.c.config_json).order_by(table.c.backbone_id)
    own, unusable = [], []
    for name, text in read(engine, lambda c: list(c.execute(query).all())):
        try:
            own.append(read_stored(name, text))
        except InputError as problem:
            unusable.append((name, str(problem)))
    return Catalogue(tuple(own), tuple(unusable))


def add_backbone(engine: Engine, backbone: Backbone) -> None:
    """Keep a backbone of the user's own; its name given again replaces it.

    Raises:
        InputError: the name is a built-in backbone's.
    """
    check_own(backbone)
    table = schema.backbones
    values = {"config_json": canonical_json(to_config(backbone))}

    def work(connection: Connection) -> None:
        by_name = table.c.name == backbone.name
        if connection.execute(update(table).where(by_name).values(**values)).rowcount == 0:
            connection.execute(
                insert(table).values(name=backbone.name, added_utc=NowUtc(), **values)
            )

    write(engine, work)
